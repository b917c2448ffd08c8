// Talking with the server: one video brought there, one job at a time.
//
// const sending = send(file, share => …); sending.done -> facts; sending.cancel()
// const job = track(id, targets, bothWays, event => …); job.stop(); job.drop()
// frames(id, size) -> (frame) -> image, of which only the newest that was asked for arrives

async function problem(response) {
  const told = await response.json().catch(() => null);
  return new Error(told?.error ?? `the server answered ${response.status}`);
}

// Sends a file as it is. The server never hears its name.
export function send(file, heard) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.addEventListener("progress", (event) => { if (event.total) heard(event.loaded / event.total); });
    request.addEventListener("load", () => {
      const told = request.response;
      if (request.status === 200) resolve(told);
      else reject(new Error(told?.error ?? `the server answered ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error("the server cannot be reached; is it still running?")));
    request.addEventListener("abort", () => reject(new DOMException("cancelled", "AbortError")));
    request.open("POST", "/videos");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}

// Tells the server that a video is no longer wanted, even from a page that is being closed.
export const forget = (id) => fetch(`/videos/${id}`, { method: "DELETE", keepalive: true }).catch(() => {});

const LET_GO = "the server has let go of this video; is it still running? Choose the video again";

// Why a websocket is refused, which the browser does not tell: the answer to the same address without one; null where
// the video is gone, or the server.
async function refusal(id) {
  const response = await fetch(`/videos/${id}/track`).catch(() => null);
  return !response || response.status === 404 ? null : (await problem(response)).message;
}

// Runs a job; the last event it hears is "done" or "error" (`gone`: nothing is left there), unless it was dropped.
//
// targets  a list: of each target frame -> box
export function track(id, targets, bothWays, heard) {
  const socket = new WebSocket(`ws://${location.host}/videos/${id}/track`);
  let over = false;
  const last = (event) => {
    if (over) return;
    over = true;
    heard(event);
  };
  socket.addEventListener("open", () => socket.send(JSON.stringify({ targets, both_ways: bothWays })));
  socket.addEventListener("message", ({ data }) => {
    const event = JSON.parse(data);
    if (event.kind === "done" || event.kind === "error") last(event);
    else if (!over) heard(event);
  });
  socket.addEventListener("close", async () => {
    if (over) return;
    last({ kind: "error", gone: true, message: await refusal(id) ?? LET_GO });
  });
  return {
    stop() { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ stop: true })); },
    drop() { over = true; socket.close(); },
  };
}

// Images of a video. While one is on its way, of those that are asked for only the newest is fetched next; the others
// resolve to null.
export function frames(id) {
  let busy = false;
  let next = null;
  async function fetchOne({ frame, resolve }) {
    busy = true;
    const image = new Image();
    image.src = `/videos/${id}/frames/${frame}.jpg`;
    resolve(await image.decode().then(() => image, () => null));
    busy = false;
    if (next) {
      const wanted = next;
      next = null;
      fetchOne(wanted);
    }
  }
  return (frame) => new Promise((resolve) => {
    if (!busy) fetchOne({ frame, resolve });
    else {
      next?.resolve(null);
      next = { frame, resolve };
    }
  });
}
