/** What generated code imports. */
export { BinaryReader, WireError } from './reader.js';
export { BinaryWriter } from './writer.js';
