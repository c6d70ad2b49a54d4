import fc from 'fast-check';
import { parseSmallForm } from './unsubscribe-body';

const FORM = 'application/x-www-form-urlencoded';

describe('parseSmallForm', () => {
  it('reads urlencoded fields', () => {
    expect(parseSmallForm(`${FORM}; charset=utf-8`, 'List-Unsubscribe=One-Click&a=b%20c')).toEqual(
      new Map([
        ['List-Unsubscribe', 'One-Click'],
        ['a', 'b c'],
      ]),
    );
  });

  it('reads the multipart example of RFC 8058, section 8.2, quoted or not', () => {
    const body =
      '---FormBoundaryjWmhtjORrn\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n---FormBoundaryjWmhtjORrn--\r\n';
    const expected = new Map([['List-Unsubscribe', 'One-Click']]);
    expect(parseSmallForm('multipart/form-data; boundary=-FormBoundaryjWmhtjORrn', body)).toEqual(expected);
    expect(parseSmallForm('Multipart/Form-Data; boundary="-FormBoundaryjWmhtjORrn"', body)).toEqual(expected);
    const unquoted = body.replace('"List-Unsubscribe"', 'List-Unsubscribe');
    expect(parseSmallForm('multipart/form-data; boundary=-FormBoundaryjWmhtjORrn', unquoted)).toEqual(expected);
  });

  it('keeps line breaks in values and takes several fields', () => {
    const body =
      '--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: text/plain\r\n\r\n1\r\n2\r\n--x\r\nContent-Disposition: form-data; filename="f"; name="b"\r\n\r\n\r\n--x--';
    expect(parseSmallForm('multipart/form-data; boundary=x', body)).toEqual(
      new Map([
        ['a', '1\r\n2'],
        ['b', ''],
      ]),
    );
  });

  it('an empty body has no fields; what is no such form is null', () => {
    expect(parseSmallForm(FORM, '')).toEqual(new Map());
    expect(parseSmallForm('application/json', '{}')).toBeNull();
    expect(parseSmallForm('multipart/form-data', '--x--')).toBeNull();
    expect(
      parseSmallForm('multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'),
    ).toBeNull();
    expect(parseSmallForm(FORM, 'a=1&'.repeat(50))).toBeNull();
  });

  it('reads back whatever a form can say', () => {
    const values = fc.string().filter((value) => !/[\r\n]|--x/.test(value));
    fc.assert(
      fc.property(values, (value) => {
        const body = `--x\r\nContent-Disposition: form-data; name="choice"\r\n\r\n${value}\r\n--x--\r\n`;
        expect(parseSmallForm('multipart/form-data; boundary=x', body)?.get('choice')).toBe(value);
      }),
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        (type, body) => parseSmallForm(`multipart/form-data; boundary=${type}`, body) !== undefined,
      ),
    );
  });
});
