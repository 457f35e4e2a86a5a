// hls.js with p2p-media-loader as their packages are, on a stream that friends carry. The address's
// fragment says what to play, as JSON: {playlist, swarmId, trackers, stun}; and, for one that
// stands in for a friend's node, {node, fault}: its peer id's
// beginning, and `wrong` where its last byte is, `silent` where it never answers. Counters: window.stock().
import Hls from "hls.js";
import { HlsJsP2PEngine } from "p2p-media-loader-hlsjs";

const { playlist, swarmId, trackers, stun = [], fault, node } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const video = document.querySelector("video");
const counters = { bytes: { p2p: 0, http: 0 }, peers: {}, uploaded: 0, connected: 0, warnings: [] };
const waits = { stalls: 0, stalledMs: 0, since: 0 };

// Keeps all, and gives others what is wrong in its last byte, or nothing.
class Faulty {
  #kept = new Map();
  #changed = () => undefined;
  async initialize() {}
  onPlaybackUpdated() {}
  onSegmentRequested() {}
  async storeSegment(_swarm, stream, id, data) {
    this.#kept.set(id, data);
    this.#changed(stream);
  }
  async getSegmentData(_swarm, _stream, id) {
    if (fault === "silent") return new Promise(() => undefined);
    const data = this.#kept.get(id)?.slice(0);
    if (data) new Uint8Array(data)[data.byteLength - 1] ^= 1;
    return data;
  }
  getUsage() {
    return { totalCapacity: 1000, usedCapacity: 0 };
  }
  // Its own player is given nothing from here.
  hasSegment(_swarm, _stream, id) {
    return fault !== "silent" && this.#kept.has(id);
  }
  getStoredSegmentIds() {
    return [...this.#kept.keys()];
  }
  setSegmentChangeCallback(changed) {
    this.#changed = changed;
  }
  destroy() {}
}

const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
const hls = new HlsWithP2P({
  liveSyncDurationCount: 4,
  p2p: {
    core: {
      swarmId,
      announceTrackers: trackers,
      rtcConfig: { iceServers: stun.map((urls) => ({ urls })) },
      // A node has each segment as soon as it is there, and keeps it.
      highDemandTimeWindow: node ? 60 : 3,
      httpDownloadTimeWindow: node ? 60 : 5,
      ...(node ? { trackerClientVersionPrefix: node } : {}),
      ...(fault ? { customSegmentStorageFactory: () => new Faulty() } : {}),
    },
    onHlsJsCreated({ p2pEngine }) {
      p2pEngine.addEventListener("onSegmentLoaded", ({ bytesLength, downloadSource, peerId }) => {
        counters.bytes[downloadSource] += bytesLength;
        if (peerId) counters.peers[peerId] = (counters.peers[peerId] ?? 0) + bytesLength;
      });
      p2pEngine.addEventListener("onChunkUploaded", (bytes) => (counters.uploaded += bytes));
      p2pEngine.addEventListener("onPeerConnect", () => (counters.connected += 1));
      p2pEngine.addEventListener("onPeerClose", () => (counters.connected -= 1));
      p2pEngine.addEventListener("onTrackerWarning", ({ warning }) => counters.warnings.push(String(warning)));
    },
  },
});
video.addEventListener("waiting", () => {
  if (video.currentTime === 0) return;
  waits.stalls += 1;
  waits.since = performance.now();
});
video.addEventListener("playing", () => {
  if (waits.since) waits.stalledMs += performance.now() - waits.since;
  waits.since = 0;
});
hls.attachMedia(video);
hls.loadSource(playlist);
window.stock = () => ({ ...counters, latency: hls.latency, time: video.currentTime, stalls: waits.stalls, stalledMs: Math.round(waits.stalledMs) });
