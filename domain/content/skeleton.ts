import { analyseTemplate } from './references';

/**
 * Most of a message is the same for everybody, and most of the rest are links of ours. Passing all that through the
 * engine for each recipient means handing over, copying and decoding it each time, which costs more than evaluating
 * what remains. So the engine gets a skeleton, with a short mark for each stretch of such text, and the stretches are
 * put back afterwards.
 */
export class Skeleton {
  private readonly stretches: Stretch[] = [];

  /**
   * @param mark no template and no data may contain it, so it is random
   * @param plainVariables written as they are wherever they stand alone; the engine need not know them
   */
  constructor(
    private readonly mark: string,
    private readonly plainVariables: ReadonlySet<string>,
  ) {}

  /**
   * The template with its stretches taken out. Not for templates that filter or measure rendered text.
   * @param escaped whether plain variables are only those marked as safe
   */
  extract(template: string, escaped: boolean): string {
    const { segments, references } = analyseTemplate(template);
    const free = new Set(references.map(({ start }) => start));
    const sources = segments.map(({ start, end }) => template.slice(start, end));
    let result = '';
    let stretch: Piece[] = [];
    const flush = (): void => {
      result += this.take(stretch);
      stretch = [];
    };
    segments.forEach((segment, index) => {
      const source = sources[index] ?? '';
      const trimmed = ENDS_TRIMMING.test(sources[index - 1] ?? '') || BEGINS_TRIMMING.test(sources[index + 1] ?? '');
      if (segment.kind === 'text' && !trimmed) {
        stretch.push({ text: source });
        return;
      }
      const [name, ...filters] = segment.tokens;
      const isPlain =
        segment.kind === 'output' &&
        name !== undefined &&
        this.plainVariables.has(name.text) &&
        free.has(name.start) &&
        !BEGINS_TRIMMING.test(source) &&
        !ENDS_TRIMMING.test(source) &&
        filters.map(({ text }) => text).join('') === (escaped ? '|safe' : '');
      if (isPlain) {
        stretch.push({ variable: name.text });
        return;
      }
      flush();
      result += source;
    });
    flush();
    return result;
  }

  /** A rendered skeleton with its stretches put back. */
  restore(output: string, written: (variable: string) => string): string {
    const parts = output.split(this.mark);
    let result = parts[0] ?? '';
    for (let index = 1; index < parts.length; index += 1) {
      const part = parts[index] ?? '';
      const end = part.indexOf(';');
      for (const piece of this.stretches[Number(part.slice(0, end))] ?? []) {
        result += 'text' in piece ? piece.text : written(piece.variable);
      }
      result += part.slice(end + 1);
    }
    return result;
  }

  private take(stretch: Piece[]): string {
    const [only] = stretch;
    if (only === undefined) return '';
    if (stretch.length === 1 && 'text' in only && only.text.length < MIN_TEXT_LENGTH) return only.text;
    return `${this.mark}${this.stretches.push(stretch) - 1};`;
  }
}

type Piece = { readonly text: string } | { readonly variable: string };
type Stretch = readonly Piece[];

/** Below this, the mark costs as much as the text. */
const MIN_TEXT_LENGTH = 40;

/** {%- and -%} remove the white space of the text beside them, so such a text must stay where it is. */
const ENDS_TRIMMING = /-[}%#]\}$/;
const BEGINS_TRIMMING = /^\{[{%#]-/;
