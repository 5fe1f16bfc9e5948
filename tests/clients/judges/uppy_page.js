// Uppy with its tus plugin, in a page of another origin: the page's hash has the service's URL and a token.
// The name of a check that begins with "upload" is the name of the image that it makes.
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'

const [url, token] = JSON.parse(decodeURIComponent(location.hash.slice(1)))
const passed = []
const failed = {}

async function check(name, work) {
  try {
    await work(name)
    passed.push(name)
  } catch (error) {
    failed[name] = String(error.stack ?? error).slice(0, 2000)
  }
}

// Return an uploader with one file.
function begin(name, data, options = {}) {
  const uppy = new Uppy()
  uppy.use(Tus, { endpoint: `${url}/uploads`, headers: { 'X-Auth-Token': token }, retryDelays: null, ...options })
  uppy.addFile({ name, type: 'application/octet-stream', data, meta: { disk_format: 'raw', container_format: 'bare' } })
  return uppy
}

async function finish(uppy) {
  const { successful, failed: broken } = await uppy.upload()
  if (broken.length) throw new Error(broken[0].error)
  if (successful.length !== 1) throw new Error('nothing was uploaded')
}

// Resolve once this many bytes are sent.
const areSent = (uppy, count) =>
  new Promise((resolve) => {
    uppy.on('upload-progress', (_, { bytesUploaded }) => bytesUploaded >= count && resolve())
  })

async function main() {
  const data = await (await fetch('disk.raw')).blob()
  const chunkSize = Math.floor((data.size * 2) / 5)
  await check('upload in one request', (name) => finish(begin(name, data)))
  await check('upload in parts', (name) => finish(begin(name, data, { chunkSize })))
  await check('upload in three parallel parts', (name) => finish(begin(name, data, { parallelUploads: 3 })))
  await check('upload that is paused and resumed', async (name) => {
    const uppy = begin(name, data, { chunkSize })
    areSent(uppy, chunkSize).then(() => {
      uppy.pauseAll()
      setTimeout(() => uppy.resumeAll(), 200)
    })
    await finish(uppy)
  })
  await check('upload that another visit of the page continues', async (name) => {
    const first = begin(name, data, { chunkSize })
    first.upload()
    await areSent(first, chunkSize)
    first.pauseAll()
    const second = begin(name, data, { chunkSize })
    let begunAt = null
    second.on('upload-progress', (_, { bytesUploaded }) => (begunAt ??= bytesUploaded))
    await finish(second)
    if (!begunAt) throw new Error('it began from the start')
  })
  await check('a cancelled upload is gone', async (name) => {
    const uppy = begin(name, data, { chunkSize })
    uppy.upload()
    await areSent(uppy, chunkSize)
    const [file] = uppy.getFiles()
    const { uploadUrl } = uppy.getFile(file.id).tus
    uppy.cancelAll()
    const headers = { 'X-Auth-Token': token, 'Tus-Resumable': '1.0.0' }
    let status = 0
    for (let tries = 0; tries < 50 && ![404, 410].includes(status); tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      status = (await fetch(uploadUrl, { method: 'HEAD', headers })).status
    }
    if (![404, 410].includes(status)) throw new Error(`HEAD: ${status}`)
  })
}

main()
  .catch((error) => (failed.page = String(error)))
  .finally(() => {
    const verdict = { client: `Uppy ${Uppy.VERSION}, @uppy/tus ${Tus.VERSION}, in Chromium`, passed, failed, skipped: {} }
    document.getElementById('told').textContent = `told:${JSON.stringify(verdict)}`
  })
