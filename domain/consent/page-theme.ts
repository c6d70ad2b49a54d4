/** How a workspace's public pages look. Whatever colour it chooses, text stays readable. */

export interface PageLook {
  /** Six hexadecimal digits, lower case. */
  accentColor: string;
  corners: 'ROUNDED' | 'SQUARE';
  footer: string;
  privacyUrl: string | null;
  imprintUrl: string | null;
}

export interface PageTheme extends PageLook {
  logo: PageLogo | null;
}

export interface PageLogo {
  /** Where it is served, below the API's own address. */
  path: string;
  /** Of its content, as hexadecimal digits. */
  sha256: string;
  /** What it says, for who cannot see it. */
  alt: string;
  /** In pixels of the file. */
  width: number;
  height: number;
}

/** What every workspace begins with. */
export const DEFAULT_LOOK: PageLook = {
  accentColor: '1d4ed8',
  corners: 'ROUNDED',
  footer: '',
  privacyUrl: null,
  imprintUrl: null,
};

/** The picture's address below the API's; it changes with the picture, so that it can be kept for ever. */
export function logoPath(workspaceSlug: string, sha256: string): string {
  return `/public/${workspaceSlug}/logo/${sha256}.png`;
}

/** WCAG 2.2, success criterion 1.4.3 (AA): contrast of text. */
export const TEXT_CONTRAST = 4.5;
const LIGHT_CARD = 'ffffff';
const LIGHT_PAGE = 'f3f4f6';
const DARK_CARD = '111827';
const WHITE = 'ffffff';
const INK = '0b1120';

function channels(color: string): [number, number, number] {
  const value = Number.parseInt(color, 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** Relative luminance of an sRGB colour (WCAG 2.2, "relative luminance"), 0 to 1. */
function luminance(color: string): number {
  const [red, green, blue] = channels(color).map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Contrast ratio of two colours (WCAG 2.2, "contrast ratio"), 1 to 21. */
export function contrast(one: string, other: string): number {
  const [lighter, darker] = [luminance(one), luminance(other)].sort((a, b) => b - a) as [number, number];
  return (lighter + 0.05) / (darker + 0.05);
}

function mix(color: string, target: string, share: number): string {
  const to = channels(target);
  return channels(color)
    .map((channel, index) => Math.round(channel + ((to[index] ?? 0) - channel) * share))
    .map((channel) => channel.toString(16).padStart(2, '0'))
    .join('');
}

/** The colour, moved towards `target` in steps as far as its contrast with all backgrounds needs it. */
function readable(color: string, target: string, backgrounds: readonly string[]): string {
  for (let step = 0; step <= 20; step += 1) {
    const candidate = mix(color, target, step / 20);
    if (backgrounds.every((background) => contrast(candidate, background) >= TEXT_CONTRAST)) return candidate;
  }
  return target;
}

/** Accent and the text upon it, for light and for dark surroundings. */
export function accentColors(color: string): {
  light: { accent: string; on: string };
  dark: { accent: string; on: string };
} {
  const on = (accent: string) => (contrast(accent, WHITE) >= contrast(accent, INK) ? WHITE : INK);
  const light = readable(color, '000000', [LIGHT_CARD, LIGHT_PAGE]);
  const dark = readable(color, WHITE, [DARK_CARD]);
  return { light: { accent: light, on: on(light) }, dark: { accent: dark, on: on(dark) } };
}

/** The style sheet of a theme, after the pages' own. */
export function themeStyle(accentColor: string, corners: PageLook['corners']): string {
  const { light, dark } = accentColors(accentColor);
  const square = corners === 'SQUARE' ? 'main,label,button,select,input{border-radius:0!important}\n' : '';
  return `:root{--accent:#${light.accent};--on-accent:#${light.on}}
@media (prefers-color-scheme:dark){:root{--accent:#${dark.accent};--on-accent:#${dark.on}}}
${square}`;
}
