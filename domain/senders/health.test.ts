import { healthStatus } from './health';

test.each([
  [null, null],
  [100, 'EXCELLENT'],
  [90, 'EXCELLENT'],
  [89.9, 'GOOD'],
  [70, 'GOOD'],
  [69.9, 'FAIR'],
  [50, 'FAIR'],
  [49.9, 'POOR'],
  [30, 'POOR'],
  [29.9, 'CRITICAL'],
  [0, 'CRITICAL'],
])('a score of %s is %s', (score, status) => {
  expect(healthStatus(score)).toBe(status);
});
