/** Moves between pages without loading them anew: what is only in memory stays there. */

import { route, type Place } from './route';

class Router {
  place = $state.raw<Place>(route(location.pathname));
  /** Changes with each address, so that each has its page made anew. */
  address = $state(here());
  /** Whether this isn't the page that was loaded: then its heading takes the focus. */
  moved = false;

  constructor() {
    addEventListener('popstate', () => this.#arrive());
    document.addEventListener('click', (event) => this.#click(event));
  }

  go(path: string, how: 'push' | 'replace' = 'push'): void {
    history[how === 'push' ? 'pushState' : 'replaceState'](null, '', path);
    this.#arrive();
    scrollTo(0, 0);
  }

  #arrive(): void {
    if (here() === this.address) return;
    this.moved = true;
    this.place = route(location.pathname);
    this.address = here();
  }

  #click(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (route(link.pathname).page === 'nowhere') return;
    event.preventDefault();
    this.go(`${link.pathname}${link.search}${link.hash}`);
  }
}

function here(): string {
  return location.pathname + location.search + location.hash;
}

export const router = new Router();
