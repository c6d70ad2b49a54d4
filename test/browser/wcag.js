/**
 * Runs in the page and says what breaks WCAG 2.2 AA there, as far as a program can tell: language and title (3.1.1,
 * 2.4.2), structure (1.3.1), contrast of text and of controls (1.4.3, 1.4.11), reflow (1.4.10), target size (2.5.8),
 * labels (3.3.2), unique ids. Names of controls are read from the accessibility tree besides (4.1.2).
 */
function wcagProblems() {
  const problems = [];
  const say = (criterion, what, element) => {
    problems.push(`${criterion}: ${what}${element ? ` at ${element.outerHTML.slice(0, 120)}` : ''}`);
  };
  const parse = (text) => {
    const numbers = (text.match(/[\d.]+/g) ?? []).map(Number);
    return [numbers[0] ?? 0, numbers[1] ?? 0, numbers[2] ?? 0, numbers[3] ?? 1];
  };
  const backgroundOf = (start) => {
    for (let element = start; element; element = element.parentElement) {
      const color = parse(getComputedStyle(element).backgroundColor);
      if (color[3] === 1) return color;
      if (color[3] > 0) say('1.4.3', 'a half transparent background, whose contrast is not known', element);
    }
    return [255, 255, 255, 1];
  };
  const luminance = ([red, green, blue]) => {
    const linear = [red, green, blue].map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
  };
  const contrast = (one, other) => {
    const [a, b] = [luminance(one), luminance(other)];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const visible = (element) => element.getClientRects().length > 0;

  if (!/^[a-z]{2}(-|$)/.test(document.documentElement.lang)) say('3.1.1', 'no language');
  if (document.title.trim() === '') say('2.4.2', 'no title');
  if (document.querySelectorAll('main').length !== 1) say('1.3.1', 'not exactly one main');
  const levels = [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((heading) => Number(heading.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) say('1.3.1', 'not exactly one heading of the first level');
  if (levels.some((level, index) => level > (levels[index - 1] ?? 0) + 1))
    say('1.3.1', 'a level of headings is left out');
  const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
  if (new Set(ids).size !== ids.length) say('4.1.2', 'an id is used twice');
  if (document.scripts.length > 0 || document.querySelector('[onclick],[onsubmit],[style]'))
    say('policy', 'script or inline style');
  if (document.documentElement.scrollWidth > window.innerWidth) say('1.4.10', `wider than ${window.innerWidth} pixels`);

  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim());
    if (!text || !visible(element)) continue;
    const style = getComputedStyle(element);
    const size = Number.parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = contrast(parse(style.color), backgroundOf(element));
    if (ratio < (large ? 3 : 4.5)) say('1.4.3', `contrast ${ratio.toFixed(2)}`, element);
  }
  for (const control of document.querySelectorAll('a[href],button,select,input:not([type=hidden])')) {
    if (!visible(control)) continue;
    const target = control.closest('label') ?? control;
    const { width, height } = target.getBoundingClientRect();
    const inline = control.tagName === 'A';
    if (!inline && (width < 24 || height < 24)) say('2.5.8', `a target of ${width} × ${height}`, control);
    if (/^(INPUT|SELECT)$/.test(control.tagName) && !('labels' in control && control.labels.length > 0)) {
      say('3.3.2', 'no label', control);
    }
    if (control.matches('select,input[type=text],input[type=password]')) {
      const ratio = contrast(parse(getComputedStyle(control).borderTopColor), backgroundOf(control.parentElement));
      if (ratio < 3) say('1.4.11', `a border with contrast ${ratio.toFixed(2)}`, control);
    }
    control.focus({ focusVisible: true });
    const { outlineStyle, outlineWidth } = getComputedStyle(control);
    if (outlineStyle === 'none' || Number.parseFloat(outlineWidth) < 2) say('2.4.7', 'no visible focus', control);
  }
  return problems;
}

wcagProblems();
