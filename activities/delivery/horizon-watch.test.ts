import { HorizonWatch } from './horizon-watch';

test('the lag grows while one transaction is the oldest, and begins anew with the next', () => {
  const watch = new HorizonWatch();
  const looks: [oldest: string, next: string, at: number][] = [
    ['100', '100', 0],
    ['100', '105', 1_000],
    ['100', '190', 61_000],
    ['150', '200', 62_000],
    ['150', '201', 72_000],
    ['202', '202', 73_000],
    ['202', '300', 74_000],
  ];
  expect(looks.map(([oldest, next, at]) => watch.lagSeconds({ oldest, next }, at))).toEqual([0, 0, 60, 0, 10, 0, 0]);
});
