/** Watched values. */
import { expect, test } from 'vitest';
import { Cell } from '../../src/client/cell.js';

function cell() {
  const source = { value: 0, computed: 0 };
  const watched = new Cell(() => {
    source.computed++;
    return source.value;
  });
  const set = (value: number) => {
    source.value = value;
    watched.invalidate();
  };
  return { source, watched, set };
}

test('each listener is told what it does not know, and nothing twice', () => {
  const { watched, set } = cell();
  const early: number[] = [];
  watched.subscribe((value) => early.push(value));
  set(5);
  // Comes when the change is there and not told yet.
  const late: number[] = [];
  watched.subscribe((value) => late.push(value));
  watched.notify();
  watched.notify();
  set(0);
  watched.notify();
  expect(early).toEqual([0, 5, 0]);
  expect(late).toEqual([5, 0]);
});

test('a value is computed when somebody looks, and once', () => {
  const { source, watched, set } = cell();
  set(1);
  set(2);
  expect(source.computed).toBe(1);
  expect([watched.value, watched.value]).toEqual([2, 2]);
  expect(source.computed).toBe(2);
});

test('a listener that ends another one is heard alone', () => {
  const { watched, set } = cell();
  const heard: string[] = [];
  const ends: (() => void)[] = [];
  ends.push(watched.subscribe(() => heard.push('first') > 1 && ends[1]?.()));
  ends.push(watched.subscribe(() => heard.push('second')));
  set(1);
  watched.notify();
  expect(heard).toEqual(['first', 'second', 'first']);
});
