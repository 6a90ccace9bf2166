// Says what the package weighs in a mini-program, and fails above the budget.
// Everything that a mini-program can use is counted, schema included.
import { gzipSync } from 'node:zlib';
import { bundle } from './bundle.mjs';

const BUDGET = 45 * 1024;

const weights = {
  'all of it': `
    import * as client from '@hongyan/client';
    import * as uni from '@hongyan/client/uni';
    import * as wechat from '@hongyan/client/wechat';
    import * as pb from '@hongyan/client/pb';
    wx.kept = [client, uni, wechat, pb];`,
  'a chat on uni-app': `
    import { createClient } from '@hongyan/client';
    import { bindUni, uniStorageStore, uniTransport } from '@hongyan/client/uni';
    wx.kept = [createClient, bindUni, uniStorageStore, uniTransport];`,
  'one type': `
    import { ErrorCode } from '@hongyan/client';
    wx.kept = ErrorCode.NameTaken;`,
};

let heaviest = 0;
for (const [name, code] of Object.entries(weights)) {
  const script = await bundle(code, { minify: true });
  const gzip = gzipSync(script, { level: 9 }).length;
  heaviest = Math.max(heaviest, gzip);
  console.log(`${name}: ${script.length} bytes, ${gzip} gzip`);
}
if (heaviest > BUDGET) {
  console.error(`over the budget of ${BUDGET} bytes gzip`);
  process.exitCode = 1;
}
