/** Dark, light, or as the system says; the choice is kept on this device. */

export type Theme = 'dark' | 'light';

const KEY = 'theme';

function system(): Theme {
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
}

function chosen(): Theme | undefined {
  const value = recall(KEY);
  return value === 'dark' || value === 'light' ? value : undefined;
}

export function currentTheme(): Theme {
  return chosen() ?? system();
}

export function applyTheme(): void {
  const theme = chosen();
  if (theme) document.documentElement.dataset['theme'] = theme;
  else delete document.documentElement.dataset['theme'];
}

export function setTheme(theme: Theme): void {
  keep(KEY, theme === system() ? undefined : theme);
  applyTheme();
}

/** Storage may be forbidden; nothing here depends on it. */
export function recall(key: string): string | undefined {
  try {
    return localStorage.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

export function keep(key: string, value: string | undefined): void {
  try {
    if (value === undefined) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // forgotten on the next visit
  }
}
