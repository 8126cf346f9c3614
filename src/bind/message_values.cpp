#include "bind/message_values.h"

#include "bind/signal_functions.h"
#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

PyObject* decode_message(Message&& message) {
    if (const Notice* notice = find_notice(message)) return make_notice(*notice);
    OwnedParcel parcel = message.take_parcel();
    return interpreter_state()->codec->decode(*parcel);
}

bool encode_message(PyObject* value, bool local, Message& message) {
    InterpreterState& state = *interpreter_state();
    if (local && codec_of(state).is_immutable(value)) {
        message = Message::local(Py_NewRef(value));
        return true;
    }
    OwnedParcel parcel = state.codec->encode(value, "message");
    if (!parcel) return false;
    message = Message(std::move(parcel));
    return true;
}

}  // namespace smarm::bind
