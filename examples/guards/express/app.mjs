/** HUB_URL=ws://127.0.0.1:8080/v1 REALTIME_API_KEY=rtk_... node app.mjs */

import express from "express";

import { guard } from "./guard.mjs";
import { TrustFeed } from "./trust-feed.mjs";

const hub = new URL(process.env.HUB_URL ?? "ws://127.0.0.1:8080/v1");
const api = `${hub.protocol === "wss:" ? "https" : "http"}://${hub.host}/api/v1`;
const feed = new TrustFeed(api, process.env.REALTIME_API_KEY);
feed.follow();

const app = express();
app.use(guard({ api, feed, audience: "shop.example", scoreMin: 30 }));
app.get("/account", (request, response) => response.json(request.realtime));

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  console.log(`serving on http://127.0.0.1:${server.address().port}`);
});
