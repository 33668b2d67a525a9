/** A server on the ws package: node node_server.mjs PORT WORK_FILE */

import { WebSocketServer } from "ws";
import { SUBSCRIBE, TRUST_SET, Work } from "./js_work.mjs";

const [port, path] = process.argv.slice(2);
const work = new Work(path);
const watchers = new Set();

const server = new WebSocketServer({
  host: "127.0.0.1", port: Number(port), backlog: 4096, perMessageDeflate: false,
});
server.on("listening", () => console.log("ready"));
server.on("connection", (socket) => {
  socket.send(work.challenge);
  socket.on("message", (frame) => {
    const [type, reply] = work.answer(frame);
    socket.send(reply);
    if (type === SUBSCRIBE) watchers.add(socket);
    else if (type === TRUST_SET) {
      const push = work.nextPush();
      for (const watcher of watchers) watcher.send(push);
    }
  });
  socket.on("close", () => watchers.delete(socket));
  socket.on("error", () => {});
});
