import { mount } from 'svelte';
import App from './components/App.svelte';
import { firstLook } from './lib/api/streams';
import { loadHls } from './lib/hls';
import { shareSecret } from './lib/route';
import { router } from './lib/router.svelte';
import { session } from './lib/session.svelte';
import { applyTheme } from './lib/theme';
import './app.css';

applyTheme();

// What the page needs is asked for before anything is drawn: the stream's facts and the player's
// script, or who is logged in. Where nobody ever logged in, the last asks nothing.
const { place } = router;
if (place.page === 'watch') {
  firstLook(place.stream, shareSecret(location.hash));
  void loadHls().catch(() => undefined);
}
void session.restore();

const target = document.getElementById('app');
if (target) mount(App, { target });
