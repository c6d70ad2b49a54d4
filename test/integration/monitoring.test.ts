import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { metricsRegistry } from '../../platform/metrics';

const folder = join(__dirname, '..', '..', 'deploy', 'monitoring');

const dashboard = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).min(1) })).min(1),
});

/** Names of series as they stand on /metrics; a histogram is three. */
async function publishedSeries(): Promise<Map<string, Set<string>>> {
  const series = new Map<string, Set<string>>();
  for (const metric of await metricsRegistry.getMetricsAsJSON()) {
    const labels = new Set(labelsOf.get(metric.name) ?? []);
    const isHistogram = String(metric.type) === 'histogram';
    for (const suffix of isHistogram ? ['_bucket', '_count', '_sum'] : ['']) {
      series.set(`${metric.name}${suffix}`, suffix === '_bucket' ? new Set([...labels, 'le']) : labels);
    }
  }
  return series;
}

/** Label names as the metrics declare them: a series without values shows none on /metrics. */
const labelsOf = new Map<string, string[]>(
  [
    ...readFileSync(join(__dirname, '..', '..', 'platform', 'metrics.ts'), 'utf8').matchAll(
      /name: '(\w+)',[^}]*?labelNames: \[([^\]]*)\]/g,
    ),
  ].map((match) => [match[1] ?? '', (match[2] ?? '').split(',').map((label) => label.replace(/[' ]/g, ''))]),
);

const FUNCTIONS = new Set(['sum', 'max', 'min', 'rate', 'increase', 'histogram_quantile', 'by', 'lane', 'le']);

async function check(expression: string): Promise<void> {
  const published = await publishedSeries();
  const names = [...expression.matchAll(/\b([a-z][a-z0-9_]*_[a-z0-9_]+)\b(?!")/g)].map((match) => match[1] ?? '');
  const used = names.filter((name) => !FUNCTIONS.has(name) && !isLabel(name, published));
  expect(used.length).toBeGreaterThan(0);
  for (const name of used) expect([name, published.has(name)]).toEqual([name, true]);
  for (const match of expression.matchAll(/\b(\w+)\{([^}]*)\}/g)) {
    for (const label of (match[2] ?? '').matchAll(/(\w+)\s*=/g)) {
      expect([match[1], label[1], published.get(match[1] ?? '')?.has(label[1] ?? '')]).toEqual([
        match[1],
        label[1],
        true,
      ]);
    }
  }
  const known = new Set([...published.values()].flatMap((labels) => [...labels]));
  for (const match of expression.matchAll(/by \(([^)]*)\)/g)) {
    for (const label of (match[1] ?? '').split(','))
      expect([label.trim(), known.has(label.trim())]).toEqual([label.trim(), true]);
  }
}

function isLabel(name: string, published: Map<string, Set<string>>): boolean {
  return [...published.values()].some((labels) => labels.has(name));
}

test('the dashboard reads series and labels that the processes publish', async () => {
  const { panels } = dashboard.parse(JSON.parse(readFileSync(join(folder, 'grafana-dashboard.json'), 'utf8')));
  expect(panels.length).toBeGreaterThan(5);
  for (const panel of panels) for (const target of panel.targets) await check(target.expr);
});

test('so do the alert rules', async () => {
  const rules = readFileSync(join(folder, 'prometheus-alerts.yml'), 'utf8');
  const expressions = [...rules.matchAll(/^\s+expr: (.*)$/gm)].map((match) => match[1] ?? '');
  expect(expressions.length).toBeGreaterThan(5);
  for (const expression of expressions) await check(expression);
});

test('a series that nobody publishes is noticed', async () => {
  await expect(check('sum(rate(sally_things_total[5m]))')).rejects.toThrow();
  await expect(check('sum(sally_lane_depth{colour="red"})')).rejects.toThrow();
  await expect(check('sum by (colour) (sally_lane_depth)')).rejects.toThrow();
});
