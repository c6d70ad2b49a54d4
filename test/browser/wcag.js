/**
 * Runs in the page and says what breaks WCAG 2.2 AA there beyond axe-core's rules, which know neither the width of the
 * window (reflow, 1.4.10), nor the borders of controls (1.4.11), nor how focus looks (2.4.7); and what breaks our own
 * policy of pages without script.
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

  if (document.scripts.length > 0 || document.querySelector('[onclick],[onsubmit],[style]'))
    say('policy', 'script or inline style');
  if (document.documentElement.scrollWidth > window.innerWidth) say('1.4.10', `wider than ${window.innerWidth} pixels`);
  for (const control of document.querySelectorAll('a[href],button,select,input:not([type=hidden])')) {
    if (control.getClientRects().length === 0) continue;
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
