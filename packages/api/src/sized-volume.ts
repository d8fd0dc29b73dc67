/**
 * On a PersistentVolume of the embedded cluster: what it holds is a file system in the file of this name, in the directory
 * that the volume names, so that it can hold no more than it should.
 */
export const IMAGE_FILE_ANNOTATION = 'caisson.dev/image-file'
