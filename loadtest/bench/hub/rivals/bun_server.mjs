/** A server on Bun's own WebSocket: bun bun_server.mjs PORT WORK_FILE */

import { SUBSCRIBE, TRUST_SET, Work } from "./js_work.mjs";

const [port, path] = process.argv.slice(2);
const work = new Work(path);
const WATCHERS = "watchers";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  fetch(request, self) {
    const headers = { "Sec-WebSocket-Protocol": "realtime.qubic.v1.msgpack" };
    return self.upgrade(request, { headers }) ? undefined : new Response("", { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    open(socket) {
      socket.sendBinary(work.challenge);
    },
    message(socket, frame) {
      const [type, reply] = work.answer(frame);
      socket.sendBinary(reply);
      if (type === SUBSCRIBE) socket.subscribe(WATCHERS);
      else if (type === TRUST_SET) server.publish(WATCHERS, work.nextPush());
    },
  },
});
console.log("ready");
