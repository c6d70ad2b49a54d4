import { inflateRawSync } from 'node:zlib';

/**
 * Reads one file out of a ZIP archive (a Python wheel is one) by its central directory. No ZIP64, no encryption:
 * neither occurs in the wheels we read.
 * @param matches chooses the entry by its name
 * @throws Error when the archive is damaged or has no such entry
 */
export function readZipEntry(archive: Buffer, matches: (name: string) => boolean): Buffer {
  // APPNOTE.TXT 4.3.16: the end record is the last 22 bytes plus a comment of at most 65,535.
  const end = archive.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (end < 0 || end + 22 > archive.length) throw new Error('not a ZIP archive: no end of central directory');
  const entries = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  for (let index = 0; index < entries; index += 1) {
    if (at + 46 > archive.length || archive.readUInt32LE(at) !== 0x02014b50) {
      throw new Error('damaged ZIP archive: bad central directory');
    }
    const nameLength = archive.readUInt16LE(at + 28);
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength);
    if (matches(name)) return readEntryAt(archive, at);
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  throw new Error('the ZIP archive has no such entry');
}

function readEntryAt(archive: Buffer, at: number): Buffer {
  const method = archive.readUInt16LE(at + 10);
  const compressedSize = archive.readUInt32LE(at + 20);
  const size = archive.readUInt32LE(at + 24);
  const local = archive.readUInt32LE(at + 42);
  if (local + 30 > archive.length || archive.readUInt32LE(local) !== 0x04034b50) {
    throw new Error('damaged ZIP archive: bad local header');
  }
  // The name and extra field of the local header may be longer than those of the central directory.
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const data = archive.subarray(start, start + compressedSize);
  if (method === 0) return Buffer.from(data);
  if (method !== 8) throw new Error(`ZIP compression method ${method} is not supported`);
  return inflateRawSync(data, { maxOutputLength: size });
}

/**
 * Reads one file out of a TAR archive (POSIX ustar).
 * @throws Error when there is no such entry
 */
export function readTarEntry(archive: Buffer, matches: (name: string) => boolean): Buffer {
  for (let at = 0; at + 512 <= archive.length; ) {
    const name = archive.toString('utf8', at, at + 100).replace(/\0.*$/s, '');
    if (name === '') break;
    const size = Number.parseInt(archive.toString('ascii', at + 124, at + 136).replace(/[\0 ].*$/s, ''), 8) || 0;
    if (matches(name)) return Buffer.from(archive.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Error('the TAR archive has no such entry');
}
