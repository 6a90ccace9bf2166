/**
 * Raw TCP for WeChat mini-programs.
 *
 * @packageDocumentation
 */
export type { WechatTcpSocket } from './transport/wechatTcp.js';
export { wechatTcpTransport } from './transport/wechatTcp.js';
