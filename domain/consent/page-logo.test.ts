import fc from 'fast-check';
import { PNG_END, pngChunk, pngFile, pngHeader, pngPixels } from '../../test/support/png';
import { LOGO_LIMITS, readLogo } from './page-logo';

const SIGNATURE = pngFile();
const plain = pngFile(pngHeader(40, 20), pngPixels(40, 20), PNG_END);

describe('a logo', () => {
  test('is kept as it is where it is nothing but a picture', () => {
    expect(readLogo(plain)).toEqual({ ok: true, png: plain, width: 40, height: 20 });
    const { width, height } = LOGO_LIMITS;
    expect(readLogo(pngFile(pngHeader(width, height), pngPixels(width, height), PNG_END))).toMatchObject({
      ok: true,
      width,
      height,
    });
  });

  test('loses what says who made it where', () => {
    const told = [pngChunk('tEXt', Buffer.from('Author\0Ada')), pngChunk('eXIf', Buffer.from('GPS'))];
    const [first, second] = told as [Buffer, Buffer];
    expect(readLogo(pngFile(pngHeader(40, 20), first, pngPixels(40, 20), second, PNG_END))).toMatchObject({
      ok: true,
      png: plain,
    });
  });

  test.each([
    ['nothing', Buffer.alloc(0), 'must be a PNG image'],
    ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'), 'must be a PNG image'],
    ['a GIF', Buffer.from('GIF89a'), 'must be a PNG image'],
    ['a signature', SIGNATURE, 'is a damaged PNG image'],
    ['no header', pngFile(pngPixels(40, 20), PNG_END), 'is a damaged PNG image'],
    ['no pixels', pngFile(pngHeader(40, 20), PNG_END), 'is a damaged PNG image'],
    [
      'pixels that do not unpack',
      pngFile(pngHeader(40, 20), pngChunk('IDAT', Buffer.from('x')), PNG_END),
      'is a damaged PNG image',
    ],
    ['more pixels than it says', pngFile(pngHeader(1, 1), pngPixels(900, 400), PNG_END), 'is a damaged PNG image'],
    ['something after its end', Buffer.concat([plain, Buffer.from('<script>')]), 'is a damaged PNG image'],
    [
      'an animation',
      pngFile(pngHeader(40, 20), pngChunk('acTL', Buffer.alloc(8)), pngPixels(40, 20), PNG_END),
      'must not be animated',
    ],
    [
      'an unknown kind',
      pngFile(pngHeader(40, 20), pngChunk('CgBI', Buffer.alloc(4)), pngPixels(40, 20), PNG_END),
      'of no known kind',
    ],
    ['too wide', pngFile(pngHeader(LOGO_LIMITS.width + 1, 20), pngPixels(40, 20), PNG_END), 'pixels wide'],
    ['no height', pngFile(pngHeader(40, 0), pngPixels(40, 20), PNG_END), 'pixels wide'],
    ['too many bytes', Buffer.concat([plain, Buffer.alloc(LOGO_LIMITS.bytes)]), 'bytes'],
  ])('is refused: %s', (_name, file, message) => {
    expect(readLogo(file)).toEqual({ ok: false, message: expect.stringContaining(message) });
  });

  test('is refused where a byte was altered or the end is missing', () => {
    fc.assert(
      fc.property(fc.nat(plain.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const altered = Buffer.from(plain);
        altered.writeUInt8((altered.readUInt8(at) ^ change) & 255, at);
        expect(readLogo(altered).ok).toBe(false);
        expect(readLogo(plain.subarray(0, at)).ok).toBe(false);
      }),
    );
  });
});
