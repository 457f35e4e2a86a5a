/** `Firefox on Linux`, from what a browser calls itself. */

const BROWSERS: [RegExp, string][] = [
  [/\bEdg(e|A|iOS)?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(Firefox|FxiOS)\//, 'Firefox'],
  [/\b(Chrome|CriOS|Chromium)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
  [/^curl\//, 'curl'],
];

const SYSTEMS: [RegExp, string][] = [
  [/iPhone|iPod/, 'iPhone'],
  [/iPad/, 'iPad'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/CrOS/, 'ChromeOS'],
  [/Mac OS X|Macintosh/, 'macOS'],
  [/Linux|X11/, 'Linux'],
];

function first(known: [RegExp, string][], text: string): string | undefined {
  return known.find(([pattern]) => pattern.test(text))?.[1];
}

export function device(userAgent: string | null | undefined): string {
  const text = userAgent ?? '';
  const browser = first(BROWSERS, text);
  const system = first(SYSTEMS, text);
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? system ?? 'Unknown device';
}

/** A system that the program for friends may be there for, as downloads are named. */
export type System = 'linux' | 'macos' | 'windows';

export function system(userAgent: string): System | undefined {
  if (/Android|iPhone|iPad|iPod|CrOS/.test(userAgent)) return undefined;
  if (userAgent.includes('Windows')) return 'windows';
  if (/Mac OS X|Macintosh/.test(userAgent)) return 'macos';
  return /Linux|X11/.test(userAgent) ? 'linux' : undefined;
}

/** Of what is offered, what is for this system; on a Mac the newer processor first. */
export function downloadsFor<T extends { system: string }>(downloads: readonly T[], its: System | undefined): T[] {
  if (its === undefined) return [];
  const arm = its === 'macos' ? 0 : 1;
  const rank = ({ system: name }: T): number => (/aarch64|arm64/.test(name) ? arm : 1 - arm);
  return downloads.filter(({ system: name }) => name.startsWith(`${its}-`)).sort((a, b) => rank(a) - rank(b));
}

const SYSTEM_NAMES: Record<string, string> = { linux: 'Linux', macos: 'macOS', windows: 'Windows' };
const PROCESSORS: Record<string, string> = { x86_64: 'Intel or AMD', aarch64: 'ARM', arm64: 'ARM' };

/** `Linux, Intel or AMD`. */
export function systemWords(name: string): string {
  const [its = '', processor = ''] = name.split('-');
  const words = its === 'macos' && processor !== 'x86_64' ? 'Apple silicon' : (PROCESSORS[processor] ?? processor);
  return [SYSTEM_NAMES[its] ?? its, words].filter(Boolean).join(', ');
}
