/** What makes pictures of figures; its code in WebAssembly lies beside it. */
export { initWasm, Resvg } from '@resvg/resvg-wasm';
