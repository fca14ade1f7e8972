#pragma once
// Events of the recorder as sentences: the texts of src/contract/recorder.def with the names of what their fields mean.
// Pure; allocates.

#include <string>

#include "control/trace/document.h"

namespace ringway::ctl {

// "SYN|ACK 0 bytes, seq 17 ack 4"
std::string sentence(const contract::Event& event, const trace::Names& names);
// All of them, a line each, the time in UTC.
std::string trace_text(const trace::Document& document);

}  // namespace ringway::ctl
