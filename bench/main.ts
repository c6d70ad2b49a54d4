import { benchAudiences } from './audiences';
import { benchClick } from './click';
import { benchCrash } from './crash';
import { benchEvents } from './events';
import { benchFairness } from './fairness';
import { benchImport } from './import';
import { benchMaterialise } from './materialise';
import { benchPause } from './pause';
import { benchPreferences } from './preferences';
import { benchSend } from './send';
import { benchUpsert } from './upsert';

const USAGE = `Usage: npm run bench -- send|fairness|import|upsert|materialise|click|events|preferences|audiences|crash|pause [--size N]
send also takes --latency MS, --window W, --group N, --connections N, --processes N, --rounds N, --dkim and --profile;
crash: --size KILLS, --each KILLS of a campaign, --messages of it, --pace MESSAGES a second; events, preferences and upsert: --profile.`;

function number(name: string): number | undefined {
  const index = process.argv.indexOf(`--${name}`);
  if (index < 0) return undefined;
  const value = Number(process.argv[index + 1]);
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} needs a number\n${USAGE}`);
  return value;
}

/** Without what was not given. */
function given<T extends Record<string, number | undefined>>(options: T): Partial<Record<keyof T, number>> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<
    Record<keyof T, number>
  >;
}

/** Runs one bench: a sentence for people, and as the last line JSON for programs. */
async function main(name: string | undefined): Promise<void> {
  const size = number('size');
  const profile = process.argv.includes('--profile');
  switch (name) {
    case 'send':
      return benchSend({
        size,
        latencyMs: number('latency'),
        window: number('window'),
        groupSize: number('group'),
        connections: number('connections'),
        processes: number('processes'),
        rounds: number('rounds'),
        profile,
        dkim: process.argv.includes('--dkim'),
      });
    case 'fairness':
      return benchFairness({ size });
    case 'import':
      return benchImport({ size });
    case 'upsert':
      return benchUpsert({ size, profile });
    case 'materialise':
      return benchMaterialise({ size });
    case 'click':
      return benchClick({ size });
    case 'events':
      return benchEvents({ size, profile });
    case 'preferences':
      return benchPreferences({ size, profile });
    case 'audiences':
      return benchAudiences({ size });
    case 'crash':
      return benchCrash(
        given({ kills: size, each: number('each'), messages: number('messages'), pace: number('pace') }),
      );
    case 'pause':
      return benchPause({ rounds: size });
    default:
      throw new Error(USAGE);
  }
}

main(process.argv[2]).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof Error && error.message.startsWith('Usage') ? error.message : error);
    process.exit(1);
  },
);
