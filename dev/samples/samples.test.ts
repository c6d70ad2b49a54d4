import { Writable } from 'node:stream';
import { parse } from 'csv-parse/sync';
import { type FieldDefinition, mapHeaders, parseRow } from '../../domain/contacts';
import { campaignConstants, compileContent, lintTemplate, render } from '../../domain/content';
import { CONTACT_FIELDS, contactRows, writeContacts } from './contacts';
import { SAMPLE_TEMPLATES, sampleTemplate } from './templates';

async function csvOf(rows: number, seed?: number): Promise<string> {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    highWaterMark: 1_024,
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      setImmediate(done);
    },
  });
  await writeContacts(stream, rows, seed);
  await new Promise<void>((resolve) => stream.end(resolve));
  return Buffer.concat(chunks).toString('utf8');
}

describe('sample contacts', () => {
  it('are the same for the same seed, and well-formed CSV', async () => {
    const csv = await csvOf(3_000, 3);
    expect(csv).toBe(await csvOf(3_000, 3));
    expect(csv).not.toBe(await csvOf(3_000, 4));
    expect(parse(csv)).toEqual([...contactRows(3_000, 3)]);
  });

  it('have the dirt that an import must find', () => {
    const [headers = [], ...rows] = contactRows(20_000);
    const definitions: FieldDefinition[] = CONTACT_FIELDS.map((field) => ({ ...field }));
    const mapped = mapHeaders(headers, definitions);
    if (!mapped.ok) throw new Error('the headers must map');
    expect(mapped.mapping.ignored).toEqual([]);
    const codes = new Map<string, number>();
    const addresses = new Set<string>();
    let accepted = 0;
    for (const row of rows) {
      const parsed = parseRow(mapped.mapping, row, { onInvalidField: 'skip-field' });
      const problems = parsed.ok ? parsed.skipped : [parsed];
      for (const { code } of problems) codes.set(code, (codes.get(code) ?? 0) + 1);
      if (!parsed.ok) continue;
      accepted += 1;
      addresses.add(parsed.contact.email);
    }
    expect([...codes.keys()].sort()).toEqual(['INVALID_EMAIL', 'INVALID_FIELD', 'INVALID_TIME_ZONE', 'MISSING_EMAIL']);
    expect(addresses.size).toBeLessThan(accepted);
    expect(accepted).toBeGreaterThan(19_500);
    expect(rows.some((row) => row[2]?.includes('\nBranch office'))).toBe(true);
  });
});

describe.each(SAMPLE_TEMPLATES)('the sample template %s', (name) => {
  const template = sampleTemplate(name);
  const options = { unsubscribeLink: true, trackOpens: true, trackClicks: true };

  it('passes the lint without a warning', () => {
    expect(lintTemplate({ ...template, declaredVariables: template.variables })).toEqual({ errors: [], warnings: [] });
  });

  it('renders with its defaults, with every link tracked or made for one recipient', () => {
    const constants = campaignConstants({
      templateDefaults: Object.fromEntries(template.variables.map((variable) => [variable.name, variable.default])),
    });
    const compiled = compileContent(template, { ...options, constants });
    expect(compiled.execution).toBe('in-process');
    expect(compiled.links.length).toBeGreaterThan(1);
    const system = {
      unsubscribe_url: 'https://s.example/u',
      _click_base: 'https://s.example/c/t.',
      _open_url: 'https://s.example/o',
    };
    const message = render(compiled, { ...constants, ...system, first_name: 'Ada' });
    const hrefs = [...message.html.matchAll(/<a\s[^>]*href="([^"]*)"/g)].map((match) => match[1] ?? '');
    expect(hrefs.filter((href) => !/^(?:https:\/\/s\.example\/|mailto:)/.test(href))).toEqual([]);
    expect(message.html + message.text + message.subject).not.toMatch(/\{\{|\}\}/);
  });
});
