/**
 * A text field that is the browser's own, for H5: uni-app's elements report what was typed a little late, and lose what comes in between
 * when Enter is pressed quickly. Other platforms use `<input>` and `<textarea>` in the templates.
 */
import { defineComponent, h, ref } from 'vue'

export default defineComponent({
  name: 'TextInput',
  inheritAttrs: true,
  props: {
    modelValue: { type: String, required: true },
    multiline: { type: Boolean, default: false },
    type: { type: String, default: 'text' },
  },
  emits: { 'update:modelValue': (_text: string) => true, enter: (_event: KeyboardEvent) => true },
  setup(props, { emit, expose }) {
    const field = ref<HTMLInputElement | HTMLTextAreaElement | null>(null)
    expose({ field })
    return () =>
      h(props.multiline ? 'textarea' : 'input', {
        ref: field,
        value: props.modelValue,
        ...(props.multiline ? { rows: 1 } : { type: props.type }),
        onInput: (event: Event) => emit('update:modelValue', (event.target as HTMLInputElement).value),
        onKeydown: (event: KeyboardEvent) => {
          if (event.key === 'Enter' && !event.isComposing) emit('enter', event)
        },
      })
  },
})
