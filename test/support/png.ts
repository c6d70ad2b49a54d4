import { crc32, deflateSync } from 'node:zlib';

/** A part of a PNG file with its length and checksum. */
export function pngChunk(type: string, data: Buffer): Buffer {
  const whole = Buffer.alloc(12 + data.length);
  whole.writeUInt32BE(data.length);
  whole.write(type, 4, 'latin1');
  data.copy(whole, 8);
  whole.writeUInt32BE(crc32(whole.subarray(4, -4)), whole.length - 4);
  return whole;
}

/** The header of a picture with eight bits of grey a pixel. */
export function pngHeader(width: number, height: number): Buffer {
  const data = Buffer.alloc(13);
  data.writeUInt32BE(width, 0);
  data.writeUInt32BE(height, 4);
  data[8] = 8;
  return pngChunk('IHDR', data);
}

export const pngPixels = (width: number, height: number, grey = 0) => {
  const line = Buffer.alloc(width + 1, grey);
  line[0] = 0;
  return pngChunk('IDAT', deflateSync(Buffer.concat(Array.from({ length: height }, () => line))));
};

export const PNG_END = pngChunk('IEND', Buffer.alloc(0));

export function pngFile(...parts: Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), ...parts]);
}

/** A grey picture. */
export function greyPng(width: number, height: number): Buffer {
  return pngFile(pngHeader(width, height), pngPixels(width, height, 96), PNG_END);
}
