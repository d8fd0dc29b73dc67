export { sandboxes } from '@caisson/client'
