// Load the part of the page that shows an image, or the list, again when the service reports an event of it.
const part = document.querySelector("[data-live]");
const about = part.dataset.live;
let loading = false;
let again = false;

async function refresh() {
  if (loading) {
    again = true;
    return;
  }
  loading = true;
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (response.ok) {
    const text = await response.text();
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("[data-live]");
    if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
  }
  // At most one load a second, however many events arrive.
  setTimeout(() => {
    loading = false;
    if (again) {
      again = false;
      refresh();
    }
  }, 1000);
}

const events = new EventSource("/events");
for (const name of ["created", "progress", "activated", "failed", "changed", "shared", "deleted"]) {
  events.addEventListener(name, (event) => {
    if (about === "images" || JSON.parse(event.data).image_id === about) refresh();
  });
}
