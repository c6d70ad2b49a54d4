import { ThreadPoolError } from '../../platform/thread-pool';
import { type CompileOptions, compileContent } from './compile';
import type { LintInput } from './lint';
import { type ContentSandbox, createContentSandbox } from './sandbox';

const PLAIN: CompileOptions = { unsubscribeLink: false, trackOpens: false, trackClicks: false };
let sandbox: ContentSandbox;

beforeAll(() => {
  sandbox = createContentSandbox({ threads: 1, timeoutMs: 10_000 });
});

afterAll(async () => {
  await sandbox.close();
});

function input(parts: Partial<LintInput>): LintInput {
  return { subject: 's', html: '<p>h</p>', text: 't', declaredVariables: [], ...parts };
}

describe('the sandbox', () => {
  it('lints', async () => {
    expect(await sandbox.lint(input({ html: '{{ email }}' }))).toEqual({ errors: [], warnings: [] });
    expect((await sandbox.lint(input({ html: '{{ nobody }}' }))).errors).toMatchObject([
      { code: 'UNDECLARED_VARIABLE' },
    ]);
  });

  it.each<[string, string]>([
    ['a gigantic string', '{{ ("x" * 1000000000)|length }}'],
    [
      'a string doubled again and again',
      '{% set ns = namespace(a="x") %}{% for i in range(40) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}',
    ],
    ['a large string, many times', '{% for i in range(1000) %}{{ "x" * 1000000 }}{% endfor %}'],
    ['nested loops', '{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}'],
    ['a long join', '{{ range(9999)|join("x" * 100000)|length }}'],
    ['replacing everywhere', '{% set a = "x" * 100000 %}{{ a|replace("x", a)|length }}'],
    ['an enormous result', '{{ "x" * 3000000 }}'],
  ])('finds %s on lint, and names the part', async (_name, template) => {
    expect((await sandbox.lint(input({ text: template }))).errors).toMatchObject([
      { code: 'TOO_EXPENSIVE', part: 'text', pointer: '/text' },
    ]);
    // And it goes on.
    expect((await sandbox.lint(input({}))).errors).toEqual([]);
  });

  it('bounds recursion', async () => {
    const preview = await sandbox.preview(
      { subject: 's', html: '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}' },
      PLAIN,
      {},
    );
    expect(preview).toMatchObject({ ok: false, error: { code: 'FUEL', part: 'html' } });
  });

  it('refuses a 5 MB template before anything else', async () => {
    const html = 'x'.repeat(5 * 1024 * 1024);
    expect((await sandbox.lint(input({ html }))).errors).toMatchObject([{ code: 'TOO_LARGE', pointer: '/html' }]);
    expect(await sandbox.compile({ subject: 's', html }, PLAIN)).toMatchObject({
      ok: false,
      error: { code: 'TOO_LARGE', part: 'html' },
    });
  });

  it('compiles a large and deeply nested page in time', async () => {
    const compiled = await sandbox.compile({ subject: 's', html: '<div>'.repeat(10_000) }, PLAIN);
    expect(compiled.ok).toBe(true);
  });

  it('previews, and says what is missing', async () => {
    const source = { subject: 'Hi {{ first_name }}', html: '<p>{{ plan|default("none") }}</p>' };
    expect(await sandbox.preview(source, PLAIN, { first_name: 'Ada', plan: null })).toEqual({
      ok: true,
      value: {
        message: { subject: 'Hi Ada', html: '<p>none</p>', text: 'none' },
        missing: [{ name: 'plan', parts: ['html'], optional: true }],
      },
    });
  });

  it('renders what may not be rendered in the process', async () => {
    const compiled = compileContent({ subject: 's', html: '{{ "ab" * n }}', text: 't' }, PLAIN);
    expect(compiled.execution).toBe('isolated');
    expect(await sandbox.render(compiled, { n: 3 })).toEqual({
      ok: true,
      value: { subject: 's', html: 'ababab', text: 't' },
    });
    expect(await sandbox.render(compiled, { n: 1e9 })).toMatchObject({ ok: false, error: { code: 'ENGINE_LOST' } });
    expect(await sandbox.render(compiled, { n: 1 })).toMatchObject({ ok: true });
  });

  it('tells a full queue from a bad template', async () => {
    const small = createContentSandbox({ threads: 1, maxQueued: 0 });
    const first = small.lint(input({}));
    await expect(small.lint(input({}))).rejects.toThrow(ThreadPoolError);
    expect((await first).errors).toEqual([]);
    await small.close();
  });
});
