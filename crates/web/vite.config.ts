import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

/** watch.html names the player's script, so that it is fetched beside the page's own. */
function preloadPlayer(): Plugin {
  return {
    name: 'preload-player',
    transformIndexHtml: {
      order: 'post',
      handler(_html, { filename, bundle }) {
        if (!filename.endsWith('watch.html') || !bundle) return;
        const player = Object.values(bundle).find(
          (file) => file.type === 'chunk' && file.isDynamicEntry && file.moduleIds.some((id) => id.includes('/hls.js/')),
        );
        if (!player) throw new Error('the player has no chunk of its own');
        return [
          {
            tag: 'link',
            attrs: { rel: 'modulepreload', crossorigin: true, href: `/${player.fileName}` },
            injectTo: 'head',
          },
        ];
      },
    },
  };
}

/**
 * The tracker client of p2p-media-loader makes its peers and its socket with classes of ours, which
 * see what is said, close a peer, and come back after a break.
 */
function watchPeers(): Plugin {
  const own: Record<string, string> = {
    '@thaunknown/simple-peer/lite.js': '/src/lib/friends/peer.ts',
    '@thaunknown/simple-websocket': '/src/lib/friends/tracker-socket.ts',
  };
  return {
    name: 'watch-peers',
    enforce: 'pre',
    async resolveId(source, importer) {
      if (source === 'streamr:simple-peer') return this.resolve('@thaunknown/simple-peer/lite.js', importer, { skipSelf: true });
      const ours = importer?.includes('/bittorrent-tracker/') ? own[source] : undefined;
      return ours === undefined ? null : this.resolve(ours, importer, { skipSelf: true });
    },
  };
}

export default defineConfig({
  plugins: [watchPeers(), svelte(), preloadPlayer()],
  worker: { format: 'es' },
  // The tracker client asks.
  define: { 'process.browser': 'true' },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 500,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: ['index.html', 'watch.html'] },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8000' } },
});
