/// <reference types="svelte" />
/// <reference types="vite/client" />

declare module 'hls.js/light' {
  import Hls from 'hls.js';
  export default Hls;
}

/** The peer connection that peer.ts extends; vite.config.ts says where it is. */
declare module 'streamr:simple-peer' {
  const Plain: new (options: unknown) => unknown;
  export default Plain;
}
