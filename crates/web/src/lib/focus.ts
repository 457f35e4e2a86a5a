/** Gives an element the focus as it appears, after whatever disappears for it has given its own back. */
export function focusFirst(element: HTMLElement): () => void {
  const timer = setTimeout(() => element.focus({ preventScroll: true }));
  return () => clearTimeout(timer);
}
