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
          (file) => file.type === 'chunk' && file.isDynamicEntry && file.moduleIds.some((id) => id.includes('hls.js')),
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

export default defineConfig({
  plugins: [svelte(), preloadPlayer()],
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
