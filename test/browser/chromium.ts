import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const message = z.object({
  id: z.number().optional(),
  method: z.string().optional(),
  sessionId: z.string().optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.object({ message: z.string() }).optional(),
});

/** A Chromium of the system; SALLY_CHROMIUM names another. */
function findChromium(): string {
  const named = process.env.SALLY_CHROMIUM;
  if (named) return named;
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of NAMES) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not here.
      }
    }
  }
  throw new Error('No Chromium found. Install one (Debian: apt-get install chromium) or name it in SALLY_CHROMIUM.');
}

/**
 * A headless Chromium, driven by the Chrome DevTools Protocol over a pipe: JSON messages that end with NUL, on file
 * descriptors 3 and 4 (--remote-debugging-pipe).
 */
export class Chromium {
  private nextId = 0;
  private readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  private readonly listeners = new Set<(method: string, params: unknown) => void>();

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly out: Writable,
    input: Readable,
  ) {
    let rest = '';
    input.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\0');
      rest = parts.pop() ?? '';
      for (const part of parts) this.receive(part);
    });
  }

  static async start(): Promise<Chromium> {
    const folder = await mkdtemp(join(tmpdir(), 'sally-chromium-'));
    const child = spawn(
      findChromium(),
      [
        '--headless=new',
        '--remote-debugging-pipe',
        `--user-data-dir=${folder}`,
        '--no-first-run',
        '--no-sandbox',
        '--disable-background-networking',
        '--disable-dev-shm-usage',
        '--disable-gpu',
        'about:blank',
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    const [, , , out, input] = child.stdio;
    return new Chromium(child, folder, out as Writable, input as Readable);
  }

  private receive(text: string): void {
    const { id, method, params, result, error } = message.parse(JSON.parse(text));
    if (id === undefined) {
      for (const listen of this.listeners) listen(method ?? '', params);
      return;
    }
    const call = this.waiting.get(id);
    this.waiting.delete(id);
    if (error) call?.reject(new Error(error.message));
    else call?.resolve(result);
  }

  /** One command of the protocol. */
  send(method: string, params: object = {}, sessionId?: string): Promise<unknown> {
    const id = ++this.nextId;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.out.write(`${JSON.stringify({ id, method, params, ...(sessionId ? { sessionId } : {}) })}\0`);
    });
  }

  onEvent(listen: (method: string, params: unknown) => void): void {
    this.listeners.add(listen);
  }

  async newPage(): Promise<BrowserPage> {
    const { targetId } = z
      .object({ targetId: z.string() })
      .parse(await this.send('Target.createTarget', { url: 'about:blank' }));
    const attached = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const { sessionId } = z.object({ sessionId: z.string() }).parse(attached);
    const page = new BrowserPage(this, sessionId);
    await page.prepare();
    return page;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    await Promise.race([this.send('Browser.close'), ended]).catch(() => undefined);
    await ended;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const axNode = z.object({
  ignored: z.boolean(),
  role: z.object({ value: z.string() }).optional(),
  name: z.object({ value: z.string().optional() }).optional(),
});

/** One tab. */
export class BrowserPage {
  /** What the console and the security policy complained about. */
  readonly complaints: string[] = [];

  constructor(
    private readonly browser: Chromium,
    private readonly sessionId: string,
  ) {
    browser.onEvent((method, params) => {
      if (method === 'Log.entryAdded' || method === 'Runtime.exceptionThrown')
        this.complaints.push(JSON.stringify(params));
    });
  }

  private send(method: string, params: object = {}): Promise<unknown> {
    return this.browser.send(method, params, this.sessionId);
  }

  async prepare(): Promise<void> {
    for (const domain of ['Page', 'Runtime', 'Log', 'Accessibility', 'DOM']) await this.send(`${domain}.enable`);
  }

  async open(url: string, language: string): Promise<void> {
    await this.send('Network.setExtraHTTPHeaders', { headers: { 'Accept-Language': language } }).catch(() => undefined);
    await this.send('Network.enable');
    await this.send('Network.setExtraHTTPHeaders', { headers: { 'Accept-Language': language } });
    await this.send('Page.navigate', { url });
    await this.loaded(url);
  }

  /** Waits until a document is there whose address contains `part`, and which is not the one where `isOld` holds. */
  async loaded(part: string, isOld = 'false'): Promise<void> {
    const end = Date.now() + 90_000;
    for (;;) {
      const state = `(${isOld} ? 'old' : document.readyState) + " " + location.href`;
      const at = await this.evaluate(state).catch(() => '');
      if (String(at).startsWith('complete ') && String(at).includes(part)) return;
      if (Date.now() > end) throw new Error(`${part} did not load; the page is ${String(at)}`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.send('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true });
    const { result, exceptionDetails } = z
      .object({ result: z.object({ value: z.unknown().optional() }), exceptionDetails: z.unknown().optional() })
      .parse(answer);
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  }

  async press(key: 'Tab' | 'Enter' | ' '): Promise<void> {
    const code = { Tab: 9, Enter: 13, ' ': 32 }[key];
    const text = key === 'Enter' ? '\r' : key === ' ' ? ' ' : undefined;
    const event = { key, code: key === ' ' ? 'Space' : key, windowsVirtualKeyCode: code };
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...event, ...(text ? { text } : {}) });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  async scripts(allowed: boolean): Promise<void> {
    await this.send('Emulation.setScriptExecutionDisabled', { value: !allowed });
  }

  /** A window so many device pixels wide; with a zoom of 2 (200 %) half as many CSS pixels fit into it. */
  async look(scheme: 'light' | 'dark', devicePixels: number, zoom = 1): Promise<void> {
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
    const [width, height] = [Math.round(devicePixels / zoom), Math.round(900 / zoom)];
    await this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: zoom, mobile: false });
  }

  /** Role and name of everything that assistive technology sees. */
  async accessibilityTree(): Promise<{ role: string; name: string }[]> {
    const { nodes } = z.object({ nodes: z.array(axNode) }).parse(await this.send('Accessibility.getFullAXTree'));
    return nodes
      .filter((node) => !node.ignored)
      .map((node) => ({ role: node.role?.value ?? '', name: (node.name?.value ?? '').trim() }));
  }

  /** A PNG of the page. */
  async screenshot(): Promise<Buffer> {
    const { data } = z
      .object({ data: z.string() })
      .parse(await this.send('Page.captureScreenshot', { captureBeyondViewport: true }));
    return Buffer.from(data, 'base64');
  }
}
