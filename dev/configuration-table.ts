import { describeConfiguration } from '../platform/config';

/** The table of all environment variables in docs/configuration.md; a test compares. */
export function configurationTable(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = describeConfiguration().map(
    ({ name, defaultValue, description }) =>
      `| \`${name}\` | ${defaultValue === '' ? '' : `\`${cell(defaultValue)}\``} | ${cell(description)} |`,
  );
  return ['| Variable | Default | Meaning |', '| --- | --- | --- |', ...rows].join('\n');
}
