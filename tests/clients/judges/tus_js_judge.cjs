// tus-js-client under Node: `URL TOKEN FILE FOLDER`. NODE_PATH has the library.
// The name of a check that begins with "upload" is the name of the image that it makes.
const fs = require('fs')
const http = require('http')
const { PassThrough } = require('stream')
const tus = require('tus-js-client')
const { version } = require('tus-js-client/package.json')

const [url, token, file, folder] = process.argv.slice(2)
const size = fs.statSync(file).size
// Three parts, the last of which is the smallest.
const part = Math.floor((size * 2) / 5)
const headers = { 'X-Auth-Token': token }
const passed = []
const failed = {}
let running = null

async function check(name, work) {
  running = name
  try {
    await work(name)
    passed.push(name)
  } catch (error) {
    failed[name] = String(error.stack).slice(0, 2000)
  }
}

const stream = () => fs.createReadStream(file)
// A stream that is no file, so that the library cannot know its length.
const unknown = () => stream().pipe(new PassThrough())

// Return an upload to an image with this name, and the promise that it succeeds.
function begin(name, options = {}, source = stream()) {
  let upload
  const done = new Promise((resolve, reject) => {
    upload = new tus.Upload(source, {
      endpoint: `${url}/uploads`,
      headers,
      metadata: { name, disk_format: 'raw', container_format: 'bare' },
      chunkSize: part,
      retryDelays: null,
      onSuccess: resolve,
      onError: reject,
      ...options,
    })
  })
  return { upload, done }
}

function run(options, source = stream) {
  return async (name) => {
    const { upload, done } = begin(name, options, source())
    upload.start()
    await done
  }
}

// Start an upload, and abort it once a part of its bytes is sent and `ready` resolves to true.
function startAndAbort(name, options = {}, ready = async () => true, terminate = false) {
  return new Promise((resolve, reject) => {
    const onProgress = async (sent) => {
      if (sent > 0 && sent < size && (await ready(upload))) {
        await upload.abort(terminate).catch(reject)
        resolve(upload)
      }
    }
    const { upload, done } = begin(name, { onProgress, ...options })
    done.then(() => reject(new Error('it ended before it was aborted')), reject)
    upload.start()
  })
}

// Continue an upload of an earlier object, whose URLs are in the storage.
async function continueStored(name, options) {
  const { upload, done } = begin(name, options)
  const [previous] = await upload.findPreviousUploads()
  if (previous === undefined) throw new Error('nothing is stored')
  upload.resumeFromPreviousUpload(previous)
  upload.start()
  await done
}

const stored = (name) => ({ urlStorage: new tus.FileUrlStorage(`${folder}/${name}.json`) })

// An agent that knows its newest connection.
class Agent extends http.Agent {
  createConnection(...given) {
    this.newest = super.createConnection(...given)
    return this.newest
  }
}

async function main() {
  await check('upload in one request', run({ chunkSize: Infinity }))
  await check('upload in parts', run())
  await check('upload of a buffer', run({}, () => fs.readFileSync(file)))
  await check('upload of a stream whose length is not known', run({ uploadLengthDeferred: true }, unknown))
  await check('upload whose first part creates it', run({ uploadDataDuringCreation: true }))
  await check('upload with POST instead of PATCH', run({ overridePatchMethod: true }))
  await check('upload in three parallel parts', run({ parallelUploads: 3, chunkSize: Infinity }))
  await check('upload that is aborted and started again', async (name) => {
    const upload = await startAndAbort(name)
    await new Promise((resolve, reject) => {
      Object.assign(upload.options, { onSuccess: resolve, onError: reject, onProgress: null })
      upload.start()
    })
  })
  await check('upload that a later run continues', async (name) => {
    await startAndAbort(name, stored(name))
    await continueStored(name, stored(name))
  })
  await check('upload in parallel parts that a later run continues', async (name) => {
    const options = { ...stored(name), parallelUploads: 3, chunkSize: Math.ceil(part / 8) }
    // The library may be writing the file at this moment.
    const isStored = (upload) => upload.findPreviousUploads().then((found) => found.length > 0, () => false)
    await startAndAbort(name, options, isStored)
    await continueStored(name, options)
  })
  await check('upload that is retried after a broken connection', async (name) => {
    const agent = new Agent()
    let broken = false
    const onProgress = (sent) => {
      if (sent > 0 && !broken) {
        broken = true
        agent.newest.destroy()
      }
    }
    const options = { onProgress, retryDelays: [0, 100], httpStack: new tus.DefaultHttpStack({ agent }) }
    await run(options)(name)
    if (!broken) throw new Error('the connection was not broken')
  })
  await check('a terminated upload is gone', async () => {
    const upload = await startAndAbort('terminated', {}, async () => true, true)
    const answer = await fetch(upload.url, { method: 'HEAD', headers: { ...headers, 'Tus-Resumable': '1.0.0' } })
    if (![404, 410].includes(answer.status)) throw new Error(`HEAD: ${answer.status}`)
  })
  running = null
}

// Node ends when nothing can happen any more, also in the middle of a check.
process.on('exit', () => {
  if (running !== null) failed[running] = 'it stands still'
  console.log(JSON.stringify({ client: `tus-js-client ${version}`, passed, failed, skipped: {} }))
})
main()
