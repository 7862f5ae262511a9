// Says that the front door does not answer, until it does.
const stale = (hidden) => () => { document.getElementById("stale").hidden = hidden; };
document.addEventListener("htmx:sendError", stale(false));
document.addEventListener("htmx:afterOnLoad", stale(true));
