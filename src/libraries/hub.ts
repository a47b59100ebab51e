/** What asks Hugging Face's hub. */
export { datasetInfo, listFiles, modelInfo, pathsInfo } from '@huggingface/hub';
