import { mount } from 'svelte';
import App from './components/App.svelte';
import { route } from './lib/route';
import { applyTheme } from './lib/theme';
import { firstLook } from './lib/api';
import { loadHls } from './lib/hls';
import './app.css';

applyTheme();

// The stream's facts and the player's script are asked for before anything is drawn.
const place = route(location.pathname);
if (place.page === 'watch') {
  firstLook(place.stream);
  void loadHls().catch(() => undefined);
}

const target = document.getElementById('app');
if (target) mount(App, { target, props: { place } });
