// Send a file by tus, and go on with an upload that broke off, also after the browser was closed.
const form = document.getElementById("new");
const [file, send, stop, bar, told, problem, chosen, moving, drop] = [
  "file", "send", "stop", "bar", "told", "problem", "chosen", "moving", "drop",
].map((id) => document.getElementById(id));
const FORMATS = { qcow2: "qcow2", iso: "iso", vmdk: "vmdk", vdi: "vdi", vhd: "vhd", vhdx: "vhdx", raw: "raw", img: "raw" };
const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];
let picked = null;
let upload = null;
let began = null;

document.querySelector(".needs-script").hidden = true;

function size(bytes) {
  let unit = 0;
  for (; bytes >= 1024 && unit < UNITS.length - 1; unit += 1) bytes /= 1024;
  return `${unit ? bytes.toFixed(1) : bytes} ${UNITS[unit]}`;
}

function pick(one) {
  if (!one || upload) return;
  picked = one;
  chosen.textContent = `${one.name}, ${size(one.size)}`;
  const [, stem, ending] = one.name.match(/^(.*?)(?:\.([^.]+))?$/);
  if (!form.elements.name.value) form.elements.name.value = stem || one.name;
  const format = FORMATS[(ending || "").toLowerCase()];
  const offered = [...form.elements.disk_format.options].map((option) => option.value);
  if (format && offered.includes(format)) form.elements.disk_format.value = format;
  send.disabled = false;
}

function fail(error) {
  const answer = error.originalResponse;
  problem.textContent = answer ? answer.getBody() || `The service answers ${answer.getStatus()}.` : error.message;
  problem.hidden = false;
  stop.hidden = true;
  send.textContent = "Try again";
  send.disabled = false;
  upload = null;
}

function show(sent, total) {
  began ??= { at: performance.now(), sent };
  bar.max = total;
  bar.value = sent;
  const rate = (sent - began.sent) / Math.max(1, performance.now() - began.at) * 1000;
  const left = rate > 0 ? `, ${Math.ceil((total - sent) / rate)} s left` : "";
  told.textContent = sent < total
    ? `${size(sent)} of ${size(total)}${rate > 0 ? `, ${size(rate)}/s` : ""}${left}`
    : "All bytes have arrived. The service checks them.";
}

async function begin() {
  if (!form.reportValidity()) return;
  const values = Object.fromEntries(["name", "visibility", "disk_format", "container_format"].map(
    (name) => [name, form.elements[name].value]));
  problem.hidden = true;
  moving.hidden = false;
  send.disabled = true;
  stop.hidden = false;
  began = null;
  const id = crypto.randomUUID();
  upload = new tus.Upload(picked, {
    endpoint: "/uploads",
    chunkSize: 64 * 1024 * 1024,
    retryDelays: [0, 1000, 3000, 5000, 10000, 20000],
    metadata: { id, ...values, tags: form.elements.tags.value.trim().split(/[\s,]+/).join(",") },
    // Another name or format makes another image, so it does not go on with the upload of this one.
    fingerprint: async (one) => ["calotype", form.dataset.project, one.name, one.size, one.lastModified,
      ...Object.values(values)].join(" "),
    removeFingerprintOnSuccess: true,
    onProgress: show,
    onError: fail,
    onSuccess: () => { location.href = `/console/images/${upload.options.metadata.id}`; },
  });
  const [earlier] = await upload.findPreviousUploads();
  if (earlier) {
    upload.options.metadata = earlier.metadata;
    upload.resumeFromPreviousUpload(earlier);
  }
  upload.start();
}

send.addEventListener("click", begin);
stop.addEventListener("click", async () => {
  await upload.abort();
  upload = null;
  told.textContent += " · paused";
  stop.hidden = true;
  send.textContent = "Continue";
  send.disabled = false;
});
file.addEventListener("change", () => pick(file.files[0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop") pick(event.dataTransfer.files[0]);
  });
}
