// A tracker that brings everybody together who asks, for pages that are tried without a coordinator.
import { WebSocketServer } from "ws";

const INTERVAL_S = 5;

// Friends' nodes meet viewers, never one another.
const NODE = /^-FN/;

export function tracker(server, onpeer, away) {
  const sockets = new WebSocketServer({ noServer: true });
  // Who is in which swarm: peer id -> socket.
  const swarms = new Map();
  server.on("upgrade", (request, socket, head) => {
    if (request.url.startsWith("/t/") && !away()) sockets.handleUpgrade(request, socket, head, (made) => attend(made, swarms, onpeer));
    else socket.destroy();
  });
  return { stop: () => sockets.close(), restart: () => sockets.clients.forEach((socket) => socket.terminate()) };
}

function attend(socket, swarms, onpeer) {
  const say = (to, message) => to.send(JSON.stringify({ action: "announce", ...message }));
  const mine = new Map();
  socket.on("message", (text) => {
    const { info_hash, peer_id, event, offers = [], to_peer_id, answer, offer_id } = JSON.parse(text);
    const peers = swarms.get(info_hash) ?? new Map();
    swarms.set(info_hash, peers);
    if (answer) {
      const to = peers.get(to_peer_id);
      if (to) say(to, { info_hash, peer_id, answer, offer_id });
      return;
    }
    if (event === "stopped") return void peers.delete(peer_id);
    peers.set(peer_id, socket);
    onpeer(peer_id);
    mine.set(info_hash, peer_id);
    say(socket, { info_hash, interval: INTERVAL_S, complete: 0, incomplete: peers.size });
    const others = [...peers].filter(([id]) => id !== peer_id && !(NODE.test(id) && NODE.test(peer_id))).sort(() => Math.random() - 0.5);
    offers.slice(0, others.length).forEach(({ offer, offer_id }, i) => say(others[i][1], { info_hash, peer_id, offer, offer_id }));
  });
  socket.on("close", () => mine.forEach((id, swarm) => swarms.get(swarm)?.get(id) === socket && swarms.get(swarm).delete(id)));
}
