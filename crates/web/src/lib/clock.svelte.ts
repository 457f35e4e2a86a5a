import { serverNow } from './api/server-clock';

/** The server's time, for views that show durations. Call it while a component is set up. */
export function ticking(everyMs = 1000): { readonly now: number } {
  let now = $state(serverNow());
  $effect(() => {
    const timer = setInterval(() => {
      now = serverNow();
    }, everyMs);
    return () => clearInterval(timer);
  });
  return {
    get now() {
      return now;
    },
  };
}
